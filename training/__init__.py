"""The offline half: turns interactions and a catalogue into a published model version."""
