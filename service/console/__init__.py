"""What the console is made of that is not HTTP: sessions, forms, charts, templates and assets."""
