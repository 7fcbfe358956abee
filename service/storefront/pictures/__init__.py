"""Pictures for items that have none: drawn as SVG, the same item always alike."""
