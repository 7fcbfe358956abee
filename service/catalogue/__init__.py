"""The catalogue as the live model knows it, for looking things up. Read models only."""
