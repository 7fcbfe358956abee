"""What a person may ask of the service: what is kept, a copy of it, and to be forgotten."""
