"""The hash tags of the partitions, spread evenly over the slots of a Redis Cluster.

Written by `tools/generate_partition_tags.py`, which says how they are chosen. They are part
of the layout of the data: other tags are another layout (`keyspace.LAYOUT_VERSION`).
"""

# fmt: off
PARTITION_TAGS = (
    "0pn", "1bv", "2kp", "3vi", "4fa", "5ke", "6bc", "7og",
    "8pd", "9ra", "10i", "11bs", "12hx", "13ua", "14vy", "15da",
    "16vz", "17kc", "18ac", "19cf", "20ml", "21pu", "22fo", "23dj",
    "24bl", "25oh", "26io", "27kj", "28bg", "29oc", "30yr", "31dk",
    "32gu", "33ep", "34yt", "35dm", "36qz", "37lc", "38fc", "39df",
    "40ua", "41xe", "42qc", "43sf", "44ss", "45nj", "46xp", "47ei",
    "48di", "49yp", "50oa", "51be", "52hn", "53uw", "54vo", "55kv",
    "56gn", "57zw", "58pw", "59mn", "60cd", "61aa", "62hg", "63jb",
)
# fmt: on
"""The tag of each partition, in order: its number, and letters that lead to its slot."""
