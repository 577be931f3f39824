"""The running application in a real browser: `make e2e`."""
