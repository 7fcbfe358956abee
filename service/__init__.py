"""The online half: decides, per request, what stands in each placement of a page."""
