"""Who sent a webhook: one file for each way of signing a delivery.

Pure: headers, raw body, time and secrets come in; out comes `Verified`, or `Unverified` is raised, and never
anything else, whatever the network sent.
"""
