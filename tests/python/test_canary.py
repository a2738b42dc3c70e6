"""What the tape takes for granted of torch on the Python side (tests/tangent/canary_test.cc has the rest): when another version of torch
changes one of these, the message says what rests on it."""

import torch
from torch.utils._python_dispatch import TorchDispatchMode


class Operations(TorchDispatchMode):
    """Names of the operations that run while it is on."""

    def __init__(self):
        super().__init__()
        self.names = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.names.append(function._schema.name)
        return function(*args, **(kwargs or {}))


def operations_of_encoder(grad):
    layer = torch.nn.TransformerEncoderLayer(8, 2, 16, batch_first=True).eval()
    with torch.set_grad_enabled(grad), Operations() as seen:
        layer(torch.randn(2, 3, 8))
    return seen.names


def test_encoders_fused_path_is_taken_only_without_gradients():
    fused = "aten::_transformer_encoder_layer_fwd"
    assert fused not in operations_of_encoder(grad=True), (
        "an encoder layer in eval mode is one fused operation even with gradients on: sweep/segment_gradient.cpp (QueryPath::at) turns "
        "gradients on so that the tape sees the layer's parts")
    assert fused in operations_of_encoder(grad=False), "the fused path is gone or has another name; then gradients need not be on for it"


def test_in_place_operations_return_the_tensor_they_were_given():
    y = torch.randn(3)
    assert torch.relu_(y) is y, "an in-place operation returns another tensor than it was given: tangent/capture.cpp (record) knows values by it"
