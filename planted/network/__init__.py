"""The network: forward pass, torch module, interventions, surgery, effects, runnable models."""
