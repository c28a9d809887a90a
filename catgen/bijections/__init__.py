"""Elementwise and triangular bijections as modules with `forward` and `inverse`, each -> (value, log_det) elementwise.

log_det has the shape of the value; its sum over an event is log |det of the Jacobian of the direction called|.
"""
