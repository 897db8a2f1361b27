"""An engine for rollouts with vLLM's interface and habits, run by transformers on the CPU."""

from __future__ import annotations

import base64
import functools
import hashlib
import io
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import AutoModelForImageTextToText, AutoProcessor
from trl.generation import vllm_generation

from spacer_utils.training import vllm_rollouts


class FakeLLM:
    """vLLM's ``LLM``: expands one placeholder per medium, keeps vision features by content until it
    is told to forget them.

    ``twice`` expands once too often; ``clock`` False loses the clips' times, as old versions did.
    """

    def __init__(self, model: str, twice: bool = False, clock: bool = True) -> None:
        self.model = AutoModelForImageTextToText.from_pretrained(model).eval()
        self.processor = AutoProcessor.from_pretrained(model)
        self.twice, self.clock = twice, clock
        self.calls: list[str] = []
        self.seen: list[dict[str, Any]] = []
        self.kept: dict[str, Any] = {}
        runner = SimpleNamespace(model=SimpleNamespace(load_weights=self._load))
        executor = SimpleNamespace(driver_worker=SimpleNamespace(model_runner=runner))
        core = SimpleNamespace(reset_encoder_cache=self._forget)
        self.llm_engine = SimpleNamespace(
            model_executor=executor,
            engine_core=core,
            model_config=SimpleNamespace(max_model_len=1024),
        )
        self.model.model.get_video_features = self._kept(type(self.model.model).get_video_features)

    def _load(self, weights: Any) -> None:
        if not self.calls or self.calls[-1] != "sync":
            self.calls.append("sync")
        with torch.no_grad():
            for name, value in weights:
                self.model.get_parameter(name).copy_(value)

    def _forget(self) -> None:
        self.calls.append("forget")
        self.kept.clear()

    def reset_prefix_cache(self) -> None:
        self.calls.append("reset")

    def _kept(self, tower: Any) -> Any:
        @functools.wraps(tower)  # generate() asks for the names of the parameters
        def features(*args: Any, **kwargs: Any) -> Any:
            given = dict(zip(("pixel_values_videos", "video_grid_thw"), args)) | kwargs
            key = hashlib.sha256(given["pixel_values_videos"].numpy().tobytes()).hexdigest()
            if key not in self.kept:
                self.kept[key] = tower(self.model.model, **given)
            return self.kept[key]

        return features

    def inputs(self, request: dict[str, Any]) -> dict[str, Any]:
        """The stock processor's inputs of one request, as vLLM makes them from its own ids, frames
        and clock."""
        media = request.get("multi_modal_data", {})
        given: dict[str, Any] = {"images": media["image"]} if "image" in media else {}
        if "video" in media:
            about = [
                {k: v for k, v in a.items() if k != "do_sample_frames"} for _, a in media["video"]
            ]
            about = about if self.clock else [{**a, "fps": 24.0} for a in about]
            given |= {
                "videos": [f for f, _ in media["video"]],
                "video_metadata": about,
                "videos_kwargs": request["mm_processor_kwargs"],
            }
        out = self.processor(
            text=[self.processor.tokenizer.decode(request["prompt_token_ids"])],
            return_tensors="pt",
            **given,
        )
        if "second_per_grid_ts" in out:
            out["second_per_grid_ts"] = torch.as_tensor(out["second_per_grid_ts"])
        return dict(out)

    @torch.no_grad()
    def generate(
        self, prompts: list[dict[str, Any]], sampling_params: Any = None, use_tqdm: bool = False
    ) -> list[Any]:
        self.seen += prompts
        return [self._answer(self.inputs(p), sampling_params) for p in prompts]

    def _answer(self, inputs: dict[str, Any], sampling: Any) -> Any:
        banned = [i for i, bias in sampling.logit_bias.items() if bias == -100.0]
        out = self.model.generate(
            **inputs,
            max_new_tokens=sampling.max_tokens,
            do_sample=False,
            suppress_tokens=banned,
            output_logits=True,
            return_dict_in_generate=True,
            eos_token_id=self.processor.tokenizer.eos_token_id,
        )
        prompt = inputs["input_ids"][0].tolist()
        written = out.sequences[0, len(prompt) :]
        left = _nucleus(torch.stack(out.logits, 1)[0].log_softmax(-1), sampling.top_p)
        logps = left.log_softmax(-1).gather(1, written[:, None])[:, 0].tolist()
        entries = [{t: SimpleNamespace(rank=1, logprob=p)} for t, p in zip(written.tolist(), logps)]
        video = self.processor.video_token_id
        ids = [t for token in prompt for t in [token] * (2 if self.twice and token == video else 1)]
        return SimpleNamespace(
            prompt_token_ids=ids,
            outputs=[SimpleNamespace(token_ids=written.tolist(), logprobs=entries)],
        )


def _nucleus(logps: torch.Tensor, top_p: float) -> torch.Tensor:
    """(T, V) log-probabilities of the tokens that top_p leaves; -inf for the others."""
    ordered, places = logps.sort(-1, descending=True)
    before = ordered.exp().cumsum(-1) - ordered.exp()
    return logps.masked_fill(
        torch.zeros_like(logps, dtype=torch.bool).scatter(-1, places, before >= top_p), -torch.inf
    )


class FakeClient:
    """TRL's ``VLLMClient`` over a ``FakeLLM``; its session answers as the server's development
    endpoints do.

    ``refuses`` is what the server says to a request to render media; ``gone`` True when it was
    killed.
    """

    def __init__(
        self, llm: FakeLLM, version: str = "0.31.0", longer: int = 0, refuses: str = ""
    ) -> None:
        self.llm, self.version, self.longer, self.refuses = llm, version, longer, refuses
        self.gone = False
        self.base_url, self.model, self.session = "", "tiny", self
        self.asked: list[int] = []

    def get(self, url: str) -> Any:
        return SimpleNamespace(json=lambda: {"version": self.version})

    def post(self, url: str, json: Any = None) -> Any:
        if self.gone:
            raise ConnectionError("Connection refused")
        if url == "/reset_encoder_cache":
            self.llm._forget()
            return SimpleNamespace(status_code=200)
        assert url == "/v1/chat/completions/render"
        if self.refuses:
            said = {"error": {"message": self.refuses, "code": 400}}
            return SimpleNamespace(status_code=400, json=lambda: said, text=str(said))
        media: dict[str, list[Any]] = {}
        for part in json["messages"][0]["content"]:
            kind = part["type"].removesuffix("_url")
            data = part[part["type"]]["url"].split(";base64,")[1]
            frames = np.stack(
                [np.array(Image.open(io.BytesIO(base64.b64decode(d)))) for d in data.split(",")]
            )
            clock = json.get("media_io_kwargs", {}).get("video")
            media.setdefault(kind, []).append(
                Image.fromarray(frames[0])
                if kind == "image"
                else (
                    frames,
                    {
                        k: clock[k]
                        for k in ("fps", "duration", "total_num_frames", "frames_indices")
                    },
                )
            )
        request = {
            "multi_modal_data": media,
            "mm_processor_kwargs": json.get("mm_processor_kwargs", {}),
        }
        merge = self.llm.processor.video_processor.merge_size**2
        text = "".join(
            f"<|vision_start|><|{k}_pad|><|vision_end|>" for k in media for _ in media[k]
        )
        given = self.llm.inputs(
            {**request, "prompt_token_ids": self.llm.processor.tokenizer(text)["input_ids"]}
        )
        lengths = {
            k: [
                {"offset": 0, "length": int(g.prod()) // merge + self.longer}
                for g in given[f"{k}_grid_thw"]
            ]
            for k in media
        }
        return SimpleNamespace(
            status_code=200,
            json=lambda: {"features": {"mm_placeholders": lengths, "request": given}},
        )

    def generate(
        self, prompts: list[list[int]], features: Any = None, n: int = 1, **sampling: Any
    ) -> dict[str, Any]:
        self.asked.append(len(prompts))
        words, found = self.llm.processor.tokenizer, []
        for ids, feature in zip(prompts, features or [None] * len(prompts)):
            kinds = {"video": 2, "image": 1}
            types = torch.tensor(
                [
                    [
                        next(
                            (
                                v
                                for k, v in kinds.items()
                                if t == words.convert_tokens_to_ids(f"<|{k}_pad|>")
                            ),
                            0,
                        )
                        for t in ids
                    ]
                ]
            )
            row = {
                **(feature["request"] if feature else {}),
                "input_ids": torch.tensor([ids]),
                "attention_mask": torch.ones(1, len(ids), dtype=torch.long),
                "mm_token_type_ids": types,
            }
            options = SimpleNamespace(
                max_tokens=sampling["max_tokens"],
                top_p=sampling["top_p"],
                **sampling["generation_kwargs"],
            )
            with torch.no_grad():
                found += [self.llm._answer(row, options)] * n
        logprobs, tokens = vllm_generation.extract_logprobs(found)
        return {
            "prompt_ids": prompts,
            "completion_ids": [f.outputs[0].token_ids for f in found],
            "logprobs": logprobs,
            "logprob_token_ids": tokens,
        }

    def reset_prefix_cache(self) -> None:
        self.llm.reset_prefix_cache()

    def get_server_info(self) -> dict[str, Any]:
        return {"model_config": {"logprobs_mode": "processed_logprobs"}}

    def update_named_params(self, metadata: Any, named: Any) -> None:
        if self.gone:
            raise ConnectionError("Connection refused")
        self.llm._load(named)


def install(patch: pytest.MonkeyPatch, made: FakeLLM | FakeClient, version: str = "0.31.0") -> None:
    """Let TRL find this engine where it would start or call vLLM."""

    def start(self: Any) -> None:
        if isinstance(made, FakeClient):
            self.vllm_client = made
        else:
            self.llm, self._llm_weights_sleeping = made, False

    patch.setattr(vllm_generation.VLLMGeneration, "_init_vllm", start)
    patch.setattr(
        vllm_generation, "SamplingParams", lambda **given: SimpleNamespace(**given), raising=False
    )
    patch.setattr(vllm_rollouts.metadata, "version", lambda name: version)
