"""One customer on one screen: what is kept, what it says of them, and what they would see now."""
