"""Whether a stream slides: order-free windows, normal scores, control charts with known run lengths, alerts.

Everything here is a pure function of the set of samples that were seen: in which order they came, how often, and how
late makes no difference.
"""
