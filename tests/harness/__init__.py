"""What tests of every area share: servers in processes of their own, clients of them, and models
of what EventHub's parts talk to. What serves one area alone lies in that area's folder.
"""
