"""One folder a tenant, each with a ``defs.yaml``; the folder's name is the tenant's. No code belongs here."""
