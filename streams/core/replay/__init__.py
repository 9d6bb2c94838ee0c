"""What another policy would have said of samples that were judged: the rule of ``decide``, over columns of many."""
