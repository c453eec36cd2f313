"""The services that clients call: requests checked, and answered."""
