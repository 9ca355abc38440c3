"""Runs a program to its end: what it printed, how long it took, and the most memory that it held, as JSON.

    python measure.py PROGRAM ARGUMENTS...
"""

import json
import resource
import subprocess
import sys
import time

begun = time.perf_counter()
done = subprocess.run(sys.argv[1:], stdout=subprocess.PIPE, check=False)
seconds = time.perf_counter() - begun
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(
    json.dumps(
        {
            "code": done.returncode,
            "printed": done.stdout.decode(),
            "seconds": seconds,
            "processor_s": used.ru_utime + used.ru_stime,
            "peak_kib": used.ru_maxrss,
        }
    )
)
