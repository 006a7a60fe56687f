"""Process 1 of the box: it reaps what others leave behind, and all ends with it.

Started by :mod:`machine.box` with the state folder as its argument, by which it is found again.
"""

import signal

if __name__ == "__main__":
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel then keeps no zombies for us
    while True:
        signal.pause()
