"""Pictures that merchandisers upload, looked into before they are kept: size, structure, end."""
