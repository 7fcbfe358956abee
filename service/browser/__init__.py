"""What browsers load: ``endcap.js`` and its types, served as they are written here."""
