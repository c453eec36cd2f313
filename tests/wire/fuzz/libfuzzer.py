"""What atheris runs: the targets under libFuzzer, which looks where new input leads in the code.

python -m tests.wire.fuzz.libfuzzer [libFuzzer's flags] CORPUS
"""

import sys

import atheris

# All of the package is measured, so nothing may have imported it before.
with atheris.instrument_imports(include=["notecast_wire"]):
    from tests.wire.fuzz.targets import feed_all

if __name__ == "__main__":
    atheris.Setup(sys.argv, feed_all)
    atheris.Fuzz()
