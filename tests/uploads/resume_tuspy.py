"""A large upload by tuspy, in pieces by clients that each know the address alone: resume_tuspy.py ENDPOINT FILE CUTS."""
import json, os, sys, urllib.request
from tusclient import client

endpoint, path, cuts = sys.argv[1], sys.argv[2], int(sys.argv[3])
size, url, cut = os.path.getsize(path), None, 0
metadata = {"filename": "large.txt", "filetype": "text/plain", "note": "from tuspy"}
while True:
    uploader = client.TusClient(endpoint).uploader(path, url=url, metadata=metadata, chunk_size=16 << 20, retries=3, retry_delay=1)
    if cut == cuts:
        uploader.upload()
        break
    uploader.upload(stop_at=size * (cut + 1) // (cuts + 1))
    url, cut = uploader.url, cut + 1
told = json.load(urllib.request.urlopen(uploader.url))
print(json.dumps({"cuts": cut, **told}))
