"""Networks: Flax modules from arrays to arrays, without probability.

A denoiser is called as network(x, time, *, valid, keys) -> logits, a causal network as network(x, *, valid, keys).
"""

from collections.abc import Callable

from flax import nnx

from catgen.networks.causal_transformer import CausalTransformer
from catgen.networks.linear_attention_unet import LinearAttentionUNet
from catgen.networks.local_linear_transformer import LocalLinearTransformer
from catgen.networks.transformer import Transformer
from catgen.networks.unet import UNet

# kind -> factory(*, event_shape, num_inputs, num_outputs, rngs, sizes...)
NETWORKS: dict[str, Callable[..., nnx.Module]] = {
  "transformer": Transformer,
  "local_linear_transformer": LocalLinearTransformer,
  "causal_transformer": CausalTransformer,
  "unet": UNet,
  "linear_attention_unet": LinearAttentionUNet,
}
