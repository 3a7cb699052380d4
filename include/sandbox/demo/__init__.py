"""The demo: an observation travels from an instrument into two archives, comes back for processing, and disappears."""
