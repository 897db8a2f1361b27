#!/bin/sh
# A vLLM server for --vllm server, on GPUs that do not train: sh spacer_utils/assets/launch/vllm_server.sh [model] [GPUs]
# Then, beside it: accelerate launch ... -m spacer_utils train ... --vllm server (another machine: --trl vllm_server_host=NAME)
# Development mode lets the trainer send weights and reset caches; scale-out serves the rendering of media, for which the trainer's own
# settings of a clip (its rate, its pixels) are trusted. vLLM starts with no more tokens than the model has positions.
MODEL=${1:-Qwen/Qwen2.5-VL-7B-Instruct}
LENGTH=$(python -c "import sys; from transformers import AutoConfig
print(min(16384, AutoConfig.from_pretrained(sys.argv[1]).get_text_config().max_position_embeddings))" "$MODEL") || exit 1
export VLLM_SERVER_DEV_MODE=1
exec vllm serve "$MODEL" --tensor-parallel-size "${2:-1}" --max-model-len "$LENGTH" \
  --weight-transfer-config '{"backend": "nccl"}' --logprobs-mode processed_logprobs --max-logprobs -1 \
  --enable-scale-out --trust-request-mm-kwargs
