"""Redis (7 or newer) and Valkey: streams hold the logs, pub/sub announces, one Lua script does both at once.

redis://user:password@host:6379/0          one server; rediss:// everywhere for TLS
redis+sentinel://host:26379,host/mymaster/0    the master that sentinels name
redis+cluster://host:6379,host                 a cluster, of which some nodes are named; announcements are sharded

Options, after `?`: ssl_ca_certs, ssl_certfile, ssl_keyfile (files), ssl_cert_reqs (required, none), ssl_check_hostname (true, false);
sentinel_username, sentinel_password. The user needs the keys and channels `eventhub:*` and the commands of the scripts, INFO among them.

`broker` is the contract, `url` and `topology` find the servers, `link` is one connection, `shard` one server's announcements and scripts,
`publisher` groups publishes, `values` are keys and arguments of the scripts.
"""

from eventhub.brokers.redis.broker import RedisBroker

__all__ = ["RedisBroker"]
