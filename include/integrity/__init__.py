"""Checksums, manifests, and tar packages with a member index: every byte is hashed while it passes."""
