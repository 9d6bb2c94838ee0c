"""Error rates of a face comparator, measured from labelled scores. Words and definitions are those of ISO/IEC 19795-1.

These modules bring scipy with them: nothing that runs in a worker imports them.
"""
