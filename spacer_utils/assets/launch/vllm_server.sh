#!/bin/sh
# A vLLM server for --vllm server, on GPUs that do not train: sh spacer_utils/assets/launch/vllm_server.sh [model] [GPUs]
# Then, beside it: accelerate launch ... -m spacer_utils train ... --vllm server (another machine: --trl vllm_server_host=NAME)
# Development mode lets the trainer send weights and reset caches; scale-out serves the rendering of media (from vLLM 0.30 on:
# leave it out before).
export VLLM_SERVER_DEV_MODE=1
exec vllm serve "${1:-Qwen/Qwen2.5-VL-7B-Instruct}" --tensor-parallel-size "${2:-1}" --max-model-len 16384 \
  --weight-transfer-config '{"backend": "nccl"}' --logprobs-mode processed_logprobs --max-logprobs -1 --enable-scale-out
