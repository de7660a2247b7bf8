"""The coordinate functions where p is an array too: one scalar call an element."""

from __future__ import annotations

from fastdln.kernels import coordinate as one
from fastdln.kernels.coordinate_loops import each_of_pair

each_h = each_of_pair("each_h", one.h)
each_h_prime = each_of_pair("each_h_prime", one.h_prime)
each_h_integral = each_of_pair("each_h_integral", one.h_integral)
each_h_inverse = each_of_pair("each_h_inverse", one.h_inverse)
each_h_inverse_slack = each_of_pair("each_h_inverse_slack", one.h_inverse_slack)
each_h_of_slack = each_of_pair("each_h_of_slack", one.h_of_slack)
each_potential_q = each_of_pair("each_potential_q", one.potential_q)
each_selector_g = each_of_pair("each_selector_g", one.selector_g)
