"""Every key of a configuration, with default, unit and meaning. An experiment's file lists only what differs.

  config = base.get_config()                   # all defaults
  config.data = base.text_file()               # another data set: replace the section
  config.model = base.autoregressive()         # another family: replace the section

A section with a `kind` is a call of the factory of that name (catgen/data, catgen/models, catgen/networks); its other
keys are the factory's keywords. Sections of data are in data_sections.py. Any key can be overridden on the command
line: --config.training.batch_size=64.
"""

from ml_collections import ConfigDict, config_dict

from configs.data_sections import (  # noqa: F401 (used as base.text_file() and so on)
  array_file,
  cityscapes,
  enwik8,
  label_maps,
  squares,
  stdlib_docs,
  street_scenes,
  text8,
  text_file,
  text_lines,
)


def get_config() -> ConfigDict:
  config = ConfigDict()
  config.seed = 0  # of parameters, batches and all draws
  config.data = stdlib_docs()
  config.model = diffusion()
  config.optimizer = optimizer()
  config.training = training()
  config.mesh = ConfigDict({"data": -1, "fsdp": 1})  # devices along each axis; -1 = all that are left
  config.checkpoint = checkpoint()
  config.evaluation = evaluation()
  config.sampling = sampling()
  return config


# --- models --------------------------------------------------------------------------------


def diffusion() -> ConfigDict:
  """Categorical diffusion: multinomial (process "uniform") or masked (process "absorbing")."""
  return ConfigDict(
    {
      "kind": "diffusion",
      "process": "uniform",  # "uniform" or "absorbing"
      # "cosine", "linear", "polynomial", or "paper_cosine" (clipped, as published; not for absorbing)
      "schedule": "cosine",
      "schedule_power": 2.0,  # of "polynomial": alpha_bar(t) = 1 - t^power
      "num_steps": 1000,  # T; 0 = continuous time
      "last_step": "posterior",  # as in the published numbers; "literal" = Eq. 14/16
      "time_sampler": "stratified",  # "uniform", "stratified", or "importance" (loss-aware, as in the paper)
      "network": transformer(),
    }
  )


def autoregressive() -> ConfigDict:
  """The exact left-to-right baseline."""
  return ConfigDict({"kind": "autoregressive", "network": causal_transformer()})


def argmax_flow() -> ConfigDict:
  """x = argmax v with v from a flow: bits, softplus thresholding and an autoregressive flow, as the paper on text."""
  return ConfigDict(
    {
      "kind": "argmax_flow",
      "inverse": "softplus",  # "softplus", "gumbel" or "gumbel_thresholding"
      "base": 2,  # M of the digits that categories are written in; 0 = no digits, K channels
      "noise_base": "normal",  # of u (or its logit, by Gumbels); or "logistic". Unused by "gumbel": uniform noise
      "encoder": lstm_encoder(),  # of the noise
      "density": autoregressive_density(),
      # Optional: "posterior_flow", flow layers after the noise (see map_coupling), and "num_context"
    }
  )


def dequantized_flow() -> ConfigDict:
  """One-hot data with noise in a flow: the baseline of argmax flows."""
  return ConfigDict(
    {
      "kind": "dequantized_flow",
      "noise": "variational",  # or "uniform"
      "base": 0,  # M of the digits that are made one-hot; 0 = K, the category itself
      "noise_base": "logistic",  # of the logits of variational noise; or "normal"
      "encoder": lstm_encoder(),  # unused with uniform noise
      "density": autoregressive_density(),
    }
  )


def dequantized(argmax: ConfigDict, noise: str) -> ConfigDict:
  """The rival of an argmax flow: its density, and for variational noise its q(u | x), on one-hot categories."""
  section = dequantized_flow()
  section.noise, section.density = noise, argmax.density
  del section.encoder
  if noise == "variational":
    for key in {"encoder", "posterior_flow", "num_context"} & set(argmax):
      section[key] = argmax[key]
  return section


# --- densities of flows --------------------------------------------------------------------


def autoregressive_density() -> ConfigDict:
  """Mixture CDFs, each channel given all before it; sampled one position after the other."""
  return ConfigDict(
    {
      "kind": "autoregressive",
      "num_layers": 1,
      "num_mixtures": 27,  # logistic components of every channel
      "num_features": 1024,  # of a position, from the conditioner
      "hidden_width": 512,  # of the channel network, per channel
      "channel_features": 96,  # that a channel contributes to those after it
      "actnorm": False,
      "conditioner": {
        "kind": "lstm",  # or "transformer", with the keys width, num_layers, num_heads, dropout, dtype
        "hidden_width": 1024,
        "width": 1024,  # of the LSTM's input, time code included
        "time_width": 256,
        "lstm_width": 2048,
        "num_layers": 2,
        "input_dropout": 0.0,  # probability that a position is unseen in training
      },
    }
  )


def coupling_density() -> ConfigDict:
  """Couplings over channels, all positions at once; sampled in one pass."""
  return ConfigDict(
    {
      "kind": "coupling",
      "num_layers": 8,
      "num_mixtures": 8,
      "actnorm": False,
      "conditioner": {
        "kind": "lstm",  # bidirectional; or "transformer"
        "hidden_width": 256,
        "width": 256,
        "time_width": 64,
        "lstm_width": 512,
        "num_layers": 2,
        "input_dropout": 0.0,
      },
    }
  )


def multi_scale_density() -> ConfigDict:
  """Maps at several resolutions: ActNorm, 1 x 1 convolution and coupling, squeezing in between; sampled in one pass."""
  return ConfigDict(
    {
      "kind": "multi_scale",
      "num_levels": 4,  # resolutions; each halves height and width of the one before
      "num_layers": 10,  # subflows of a level
      "num_mixtures": 0,  # logistic components of the couplings; 0 = affine couplings
      "squeeze_first": False,  # halve before the first level too: four times cheaper
      "factor_out": True,  # half of the channels end after each level but the last
      "conditioner": densenet(),
    }
  )


def pyramid_density() -> ConfigDict:
  """Maps from coarse to fine, every second pixel first; a sample takes two networks a level."""
  return ConfigDict(
    {
      "kind": "pyramid",
      "num_levels": 5,  # halvings of height and width
      "num_mixtures": 4,  # logistic components of every channel
      "num_features": 64,  # of a position, from the conditioner
      "hidden_width": 32,  # of the channel network, per channel
      "channel_features": 16,  # that a channel contributes to those after it
      "conditioner": densenet(),
    }
  )


def map_coupling() -> ConfigDict:
  """A posterior flow of maps, as `posterior_flow` of a model whose encoder gives `num_context` features to it."""
  return ConfigDict(
    {
      "kind": "map_coupling",
      "num_layers": 8,  # subflows
      "num_mixtures": 0,
      "squeeze": False,  # work at half of the resolution
      "conditioner": densenet(),
    }
  )


def densenet() -> ConfigDict:
  """The network of a coupling of maps; as an encoder it takes the same keys."""
  return ConfigDict(
    {
      "kind": "densenet",
      "width": 64,  # features before the first dense layer
      "num_layers": 10,  # dense layers
      "growth": 64,  # features that each of them adds
      "dropout": 0.0,
      "dtype": "float32",
    }
  )


def lstm_encoder() -> ConfigDict:
  """The paper's encoder on text: one bidirectional LSTM, which is told no position, and two linear layers."""
  sizes = {"width": 512, "time_width": 0, "lstm_width": 512, "num_layers": 1, "output_width": 128}
  return ConfigDict({"kind": "lstm", **sizes})


def densenet_encoder() -> ConfigDict:
  """A DenseNet over the categories of a map."""
  encoder = densenet()
  encoder.update({"width": 32, "num_layers": 4, "growth": 16})
  return encoder


# --- networks --------------------------------------------------------------------------------


def transformer() -> ConfigDict:
  """Rotary positions, normalised queries and keys, gated MLP, adaptive layer norm on time."""
  return ConfigDict(
    {
      "kind": "transformer",
      "width": 512,
      "num_layers": 8,
      "num_heads": 8,
      "mlp_ratio": 8 / 3,  # hidden features of the gated perceptron over width
      "time_width": 128,  # features of the time vector
      "conv_width": 0,  # odd taps of a depthwise convolution before attention; 0 = none
      "dropout": 0.0,  # probability, in training
      # of the network's arithmetic: "float32" or "bfloat16"; parameters and likelihoods are float32
      "dtype": "float32",
      "remat": False,  # recompute activations in the backward pass: less memory, about a third more time
      "scan_layers": False,  # one compiled layer for all: compile time independent of depth, about 12 % slower on CPU
    }
  )


def causal_transformer() -> ConfigDict:
  """The same blocks without time, each position seeing those before it."""
  network = transformer()
  del network.time_width
  return network


def local_linear_transformer() -> ConfigDict:
  """The paper's text network."""
  return ConfigDict(
    {
      "kind": "local_linear_transformer",
      "width": 512,
      "num_layers": 12,
      "num_heads": 16,  # the first half attends locally, the second half linearly
      "window": 128,  # of local attention, which also sees one window on each side
      "dtype": "float32",
    }
  )


def unet() -> ConfigDict:
  """The default network of maps: convolutions around a transformer at the coarsest resolution."""
  return ConfigDict(
    {
      "kind": "unet",
      "widths": (32, 64, 128),  # of each level, finest first; the transformer works at the last
      "num_blocks": 1,  # convolutional blocks of a level, on the way down and again on the way up
      "patch_size": 1,  # side of the square of pixels that is one place of the finest level; 2 = four times cheaper
      "num_layers": 4,  # of the transformer
      "num_heads": 4,
      "time_width": 128,
      "dropout": 0.0,
      "dtype": "float32",
      "remat": False,
    }
  )


def linear_attention_unet() -> ConfigDict:
  """The paper's network of maps."""
  return ConfigDict(
    {
      "kind": "linear_attention_unet",
      "width": 64,
      "multipliers": (1, 2, 4, 8),  # of the width, for each level
      "dropout": 0.1,
      "dtype": "float32",
    }
  )


# --- training --------------------------------------------------------------------------------


def optimizer() -> ConfigDict:
  return ConfigDict(
    {
      "name": "adamw",  # "adam", "adamw", "adamax", "muon"
      "learning_rate": 3e-4,  # peak
      "warmup_steps": 0,
      "decay": "cosine",  # "constant", "cosine", "linear", "inverse_sqrt", "exponential"
      "final_fraction": 0.0,  # of the peak, where cosine and linear decay end
      "decay_rate": 0.99,  # of exponential decay, every `decay_steps`
      "decay_steps": 0,
      "b1": 0.9,
      "b2": 0.999,
      "weight_decay": 0.0,  # decoupled, on matrices only
      "clip_norm": 0.0,  # global norm; 0 = no clipping
      "adam_learning_rate": config_dict.placeholder(float),  # of what Muon leaves to Adam; None = the same
    }
  )


def training() -> ConfigDict:
  return ConfigDict(
    {
      "batch_size": 32,  # sequences, over all devices and processes
      "num_steps": 10_000,
      "crops": True,  # random crops of a stream; False = the paper's fixed chunks, each once per epoch
      "num_microbatches": 1,  # gradients are accumulated over so many parts of a batch
      "ema_decay": 0.0,  # of the moving average of parameters; 0 = none
      "prefetch": 2,  # batches prepared ahead
      "report_every": 50,  # steps
      "validate_every": 1000,  # steps
      "validation_examples": 512,  # the first so many of the validation split
      "validation_samples": 0,  # maps drawn at each validation, as `sampling` says, and shown in TensorBoard; 0 = none
    }
  )


def checkpoint() -> ConfigDict:
  return ConfigDict(
    {
      "every": 0,  # steps, besides one after each validation and one at the end
      "keep_latest": 2,  # and always the best
      "keep_every": 0,  # also keep for good each checkpoint at a multiple of this; 0 = none
    }
  )


def evaluation() -> ConfigDict:
  """Defaults of launch.evaluate; validation during training takes the split "validation" and the same batch size."""
  return ConfigDict(
    {
      "split": "test",
      "estimator": config_dict.placeholder(str),  # "exact", "elbo", "full", "iwbo"; None = what the family does best
      "num_draws": 1,  # per example; S of "iwbo"
      "num_replicates": 4,  # independent repetitions of the whole estimate, for its Monte Carlo error
      "draws_at_once": 1,  # in one device call
      "batch_size": 32,
      "max_examples": 0,  # 0 = the whole split
      "invalid_samples": 64,  # drawn to find the share of codes without a category, where a flow has such; 0 = none
    }
  )


def sampling() -> ConfigDict:
  return ConfigDict(
    {
      "num_samples": 4,
      "batch_size": 64,
      "num_steps": config_dict.placeholder(int),  # of an iterative sampler; None = all
      "temperature": 1.0,
    }
  )
