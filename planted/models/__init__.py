"""The shipped models: weights and manifests, as files."""
