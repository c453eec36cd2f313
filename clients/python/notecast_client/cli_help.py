"""The command's own help. A line with only a backspace keeps the lines after it as they are."""

ABOUT = """Chat from the shell: send notes to rooms, follow rooms, read back.

\b
Examples:
  notecast chat lobby --name ann          type and read
  notecast send lobby "Good morning"      send one note
  make 2>&1 | notecast send builds        send the output of a program
  notecast tail lobby --last 10           the last ten notes, then new ones
  notecast tail lobby ops --json          for programs: one note a line
  notecast history lobby --all            all notes that are kept
  notecast health                         is the server ready?
"""

EXIT_CODES = """\b
Exit codes:
  0    done; also when the reader of the output goes away, as in `| head`
  1    the server refused the request or failed; or it is not serving
  2    wrong usage
  69   the server can't be reached, or doesn't answer
  130  ended by Ctrl-C (143: by SIGTERM)
"""

CHAT = """Type and read.

Begins with the room's last 20 notes. Ctrl-D or /quit leaves. A line that begins with // is sent
with a single /.

If standard input or output is not a terminal, each line of standard input is sent as a note, and
the command ends once all of them have come back from the room.

\b
Examples:
  notecast chat lobby --name ann
  printf 'one\\ntwo\\n' | notecast chat lobby
"""

SEND = """Send one note.

Prints its position in the room as EPOCH:SEQUENCE. Without an answer the note is sent again
until the timeout, with the same id, so that it is stored once. If no answer comes at all, it may
have been stored.

\b
Examples:
  notecast send lobby "Good morning" --name ann
  uptime | notecast send ops --label host=web-1
"""

TAIL = """Print the notes of rooms as they come.

Begins with new notes, unless an option says otherwise. After a lost connection it reconnects, and
prints no note twice. Notes go to standard output, all else to standard error.

With --json a note is an object with the fields of the contract. Where the log of a room has a
break, an object with the one key "discontinuity" says so.

\b
Examples:
  notecast tail lobby --last 10
  notecast tail lobby --after 1767225600000:41 --json
  notecast tail lobby --from-start --no-follow
"""

HISTORY = """Print the notes of a room.

The oldest note comes first.

\b
Examples:
  notecast history lobby --last 100
  notecast history lobby --all --json
"""

HEALTH = """Print the server's health.

Exits with 0 only if it is SERVING.

\b
Examples:
  notecast health
  notecast health notecast.v1.ChatService
"""
