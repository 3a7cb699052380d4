"""What an archive says about a package beside its bytes: a sidecar with the manifest and IVOA ObsCore fields."""
