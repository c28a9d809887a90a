"""Networks: Flax modules from arrays to arrays, without probability.

A trunk turns features of positions into features of positions; a role (`catgen.networks.roles`) makes a denoiser, a
causal network, an encoder or a conditioner of any trunk that can be one. So a new trunk is one file of `trunks/` and
one line here. `small` are sizes for proofs on events of two positions and on maps of 2 x 2.
"""

from catgen.kinds import Kind, Kinds, Registry
from catgen.networks.trunks.deep_transformer import DeepTransformer
from catgen.networks.trunks.densenet import DenseNet
from catgen.networks.trunks.linear_attention_unet import LinearAttentionUNet
from catgen.networks.trunks.local_linear_transformer import LocalLinearTransformer
from catgen.networks.trunks.none import NoTrunk
from catgen.networks.trunks.per_position import PerPosition
from catgen.networks.trunks.pixel_cnn import PixelCNN
from catgen.networks.trunks.recurrent import LSTM
from catgen.networks.trunks.transformer import Transformer
from catgen.networks.trunks.transformer_xl import TransformerXL
from catgen.networks.trunks.unet import UNet

_ONE_LAYER = {"num_layers": 1, "num_heads": 2, "dtype": "float32"}
_MAP = {"dropout": 0.0, "dtype": "float32"}
_RECURRENT = {"width": 32, "time_width": 16, "hidden_width": 32, "lstm_width": 32, "output_width": 32}
TRUNKS: Registry = Kinds() | {
  "transformer": Kind(Transformer, small={**_ONE_LAYER, "width": 32, "time_width": 16, "dropout": 0.0}),
  "deep_transformer": Kind(DeepTransformer, small={**_ONE_LAYER, "width": 32, "hidden_width": 64, "dropout": 0.0}),
  "transformer_xl": Kind(
    TransformerXL, small={**_ONE_LAYER, "width": 32, "hidden_width": 64, "dropout": 0.0, "attention_dropout": 0.0}
  ),
  "lstm": Kind(LSTM, small={**_RECURRENT, "num_layers": 1, "input_dropout": 0.0}),
  "per_position": Kind(PerPosition, small={"width": 32, "output_width": 32}),
  "none": Kind(NoTrunk),
  "densenet": Kind(DenseNet, small={**_MAP, "width": 32, "num_layers": 1, "growth": 8}),
  "pixel_cnn": Kind(PixelCNN, small={**_MAP, "width": 32, "num_layers": 2}),
  "unet": Kind(
    UNet,
    small={**_MAP, **_ONE_LAYER, "widths": (16, 16), "num_blocks": 1, "patch_size": 1, "time_width": 16},
  ),
  "local_linear_transformer": Kind(LocalLinearTransformer, small={**_ONE_LAYER, "width": 32, "window": 1}),
  "linear_attention_unet": Kind(LinearAttentionUNet, small={**_MAP, "width": 16, "multipliers": (1, 2)}),
}
