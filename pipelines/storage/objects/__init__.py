"""Object storage: buckets of S3, Google Cloud and Azure, and files of web servers, read by URL.

Modules, lowest first: `urls`, `settings`, `requests`, `faults`, `backends`, `store`, `globs`, `blocks`,
`lazy`, `cache`, `current`, `named`.
"""
