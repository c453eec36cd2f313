"""Checks the Kubernetes manifests: against the schemas, and against each other and the code.

`python -m deploy.checks` renders every overlay. Each module but `rendering` and `schemas` is
pure: manifests and facts of the code in, findings out.
"""
