#!/bin/sh
# One prepared run of at most nine minutes on one accelerator; it prints one table last.
#
#   benchmarks/accelerator.sh --output=results --text=text8_head.xz     # flags: python -m benchmarks.accelerator --help
#   WHEELS=wheels benchmarks/accelerator.sh --output=results            # on a machine without a package index
#   benchmarks/accelerator.sh --smoke                                   # tiny sizes, any device, half a minute
#
# PYTHON (default: python3) has JAX for the device, Flax, Optax and Orbax. What it lacks of catgen's other packages comes
# from the folder WHEELS, made where there is an index by
#   pip download --no-deps --only-binary=:all: --implementation cp --python-version 3.12 --platform manylinux_2_28_x86_64 \
#     --platform manylinux2014_x86_64 -d wheels ml_collections grain array_record portpicker
# and is installed into a temporary folder, without a look at any index.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
python=${PYTHON:-python3}
export PYTHONUNBUFFERED=1 PYTHONPATH="$root${PYTHONPATH:+:$PYTHONPATH}"
if [ -n "${WHEELS:-}" ]; then
  installed=$(mktemp -d)
  trap 'rm -rf "$installed"' EXIT
  "$python" -m pip install --quiet --no-index --no-deps --no-compile --no-cache-dir --target "$installed" "$WHEELS"/*.whl
  export PYTHONPATH="$PYTHONPATH:$installed"
fi
case " $* " in *" --smoke "*) # where compiling is nearly all of the time: without optimizing
  export XLA_FLAGS="${XLA_FLAGS:-} --xla_backend_optimization_level=0 --xla_cpu_parallel_codegen_split_count=1" ;;
esac
"$python" -m benchmarks.accelerator "$@"
