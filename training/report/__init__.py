"""The page of pictures that training and evaluation write: figures, charts, one HTML file."""
