"""The public endpoints of the API."""

from __future__ import annotations

# The argument names of each endpoint.
ENDPOINTS = {
    "/predict": "photo model top_k",
    "/maps": "photo model block view scale colours",
    "/channel": "photo model block branch channel colours",
    "/bottleneck": "photo model block scale colours",
    "/compare": "photo model other_model block other_photo",
    "/branch_votes": "photo model block class_name off",
    "/network_table": "photo model class_name off",
    "/switch_off": "photo model block branches channels off",
    "/class_evidence": "photo model class_name",
    "/grad_cam": "photo model block class_name",
    "/overlays": "photo model block class_name",
    "/cell": "photo model block branch channel row column",
    "/logit_circuit": "photo model class_name",
    "/circuit": "photo model block branch channel row column",
    "/occlusion": "photo model class_name",
    "/integrated_gradients": "photo model class_name",
    "/faithfulness": "photo model method block class_name",
    "/keep": "photo kind model block view scale colours language",
    "/models": "",
    "/classes": "model language",
    "/anatomy": "model block",
    "/reading": "model block",
    "/bottleneck_cost": "in_channels reduced_to out_channels kernel cells",
    "/network_size": "model",
}
