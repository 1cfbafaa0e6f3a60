"""The start of `babycli` and of `python -m babycli`: an interrupt ends it quietly from the first moment on.

Also where there is not memory enough for what is imported, that is said, and is no traceback.
"""

import os
import signal

_INTERRUPTED = 130  # ExitCode.INTERRUPTED; importing that takes 10 ms, before which the handler must be there


def start() -> None:
    """Runs the command line, and ends the process with its exit code."""
    is_heeded = signal.getsignal(signal.SIGINT) is signal.default_int_handler  # nohup's children do not heed it
    if is_heeded:
        signal.signal(signal.SIGINT, lambda *_: os._exit(_INTERRUPTED))  # nothing is begun that is to be ended
    from babycli.errors import MORE_MEMORY, ExitCode, is_lack_of_memory

    try:
        from babycli.cli import run
        from babycli.commands.interrupts import heed_all, interrupt
    except (ImportError, MemoryError, OSError) as error:
        if not is_lack_of_memory(error):
            raise
        os.write(2, f"babycli: there is not memory enough to start it\n  mend: {MORE_MEMORY}\n".encode())
        os._exit(ExitCode.DATA)

    if is_heeded:
        signal.signal(signal.SIGINT, interrupt)
    heed_all()
    run()


if __name__ == "__main__":
    start()
