#!/usr/bin/env python3
"""Writes compile_commands.json: BUILD COMPILER-AND-FLAGS SOURCE..."""
import json
import os
import sys

build, command, *sources = sys.argv[1:]
json.dump([{"directory": os.getcwd(), "file": s, "command": f"{command} -c {s} -o {build}/{s}.o"} for s in sorted(sources)],
          sys.stdout, indent=1)
print()
