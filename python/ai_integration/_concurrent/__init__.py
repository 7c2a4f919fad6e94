"""Models that run several requests at the same time, on threads or as tasks of asyncio.

`_threads` runs a function on a pool of threads, `_requests` gives requests to tasks, and `_sending`
sends their results. Both work with `_session`, which knows the open requests. A request belongs to
the thread or task that works on it by a context variable (`_block`). `_engine`, `_job` and `_link`
extend the modules of these names for one request at a time. These files need Python 3.8, and are
loaded on first use: threads do without asyncio, which takes long to load.
"""
