"""Other libraries' models in and out: one thin module each, imported by nobody here."""
