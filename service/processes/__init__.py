"""The processes of a server: started, kept, renewed and stopped."""
