"""Times greedy generation: ours, Keras-Hub's and Transformers'.

    python -m tests.benchmarks.generate
    python -m tests.benchmarks.generate --backends torch --batch 1 --json F

Each measurement has a process of its own. All have the same shapes; ours and
Transformers read the same random weights from one checkpoint, Keras-Hub makes
its own, for values do not matter for its time. A prompt of 8 tokens is
continued by 32, with no stop token. The best of several calls after a warm-up
counts.

`floor` is the least that 32 decode steps could take: the bytes of the decoder
and embedding weights, over the bandwidth that this run measured, times 32.
"""

import argparse
import json
import sys
import tempfile

from tests.benchmarks import measure
from tests.benchmarks import shapes

BACKENDS = ("jax", "torch", "tensorflow")
PEERS = ("ours", "keras_hub", "transformers")
PROMPT_LENGTH = 8
NEW_TOKENS = 32
MODULE = "tests.benchmarks.generate"
BYTES = {"float32": 4, "bfloat16": 2}


def make_inputs(shape, batch):
    """Returns images and padded prompts, the same for each implementation."""
    import numpy as np

    random = np.random.default_rng(0)
    size = shape["image_size"]
    length = PROMPT_LENGTH + NEW_TOKENS
    token_ids = np.zeros((batch, length), "int32")
    token_ids[:, :PROMPT_LENGTH] = random.integers(
        4, shape["vocabulary_size"], (batch, PROMPT_LENGTH)
    )
    token_ids[:, 0] = 2
    images = random.uniform(-1, 1, (batch, size, size, 3)).astype("float32")
    mask = np.zeros((batch, length), "int32")
    mask[:, :PROMPT_LENGTH] = 1
    return {"images": images, "token_ids": token_ids, "padding_mask": mask}


def prepare_ours(shape, options):
    from keras_paligemma import PaliGemmaBackbone
    from keras_paligemma import PaliGemmaCausalLM

    backbone = PaliGemmaBackbone.from_preset(
        options.checkpoint, dtype=options.dtype
    )
    return prepare_keras(PaliGemmaCausalLM, backbone, shape, options)


def prepare_keras_hub(shape, options):
    import keras_hub

    backbone = keras_hub.models.PaliGemmaBackbone(**shape, dtype=options.dtype)
    return prepare_keras(
        keras_hub.models.PaliGemmaCausalLM, backbone, shape, options
    )


def prepare_keras(model_class, backbone, shape, options):
    model = model_class(preprocessor=None, backbone=backbone)
    model.compile(sampler="greedy")
    inputs = make_inputs(shape, options.worker_batch)

    def generate():
        outputs = model.generate(dict(inputs), stop_token_ids=None)
        return outputs["token_ids"][:, PROMPT_LENGTH:]

    return generate


def prepare_transformers(shape, options):
    import numpy as np
    import torch
    import transformers

    model = transformers.PaliGemmaForConditionalGeneration.from_pretrained(
        options.checkpoint, dtype=getattr(torch, options.dtype)
    ).eval()
    inputs = make_inputs(shape, options.worker_batch)
    images = np.full(
        (options.worker_batch, shapes.num_image_tokens(shape)),
        shape["vocabulary_size"],
    )
    prompts = inputs["token_ids"][:, :PROMPT_LENGTH]
    token_ids = torch.tensor(np.concatenate([images, prompts], axis=1))
    pixels = torch.tensor(inputs["images"].transpose(0, 3, 1, 2))

    @torch.inference_mode()
    def generate():
        outputs = model.generate(
            input_ids=token_ids,
            attention_mask=torch.ones_like(token_ids),
            token_type_ids=torch.zeros_like(token_ids),
            pixel_values=pixels.to(model.dtype),
            max_new_tokens=NEW_TOKENS,
            do_sample=False,
            eos_token_id=None,
            pad_token_id=0,
        )
        return outputs[:, token_ids.shape[1] :]

    return generate


PREPARE = {
    "ours": prepare_ours,
    "keras_hub": prepare_keras_hub,
    "transformers": prepare_transformers,
}


def work(options):
    """Makes one measurement in this process and prints it as JSON."""
    shape = shapes.SHAPES[options.shape]
    if options.worker == "checkpoint":
        shapes.write_transformers_checkpoint(
            shape, options.checkpoint, options.dtype
        )
        print("{}")
        return
    generate = PREPARE[options.worker](shape, options)
    result = measure.time_calls(generate, options.repeats)
    result["peak_bytes"] = measure.peak_memory()
    result["tokens"] = [[int(t) for t in row] for row in generate()]
    print(json.dumps(result))


def measure_all(options, report):
    """Returns a result, a dict, for each batch size, backend and peer."""
    results = []
    with tempfile.TemporaryDirectory() as directory:
        settings = [
            f"--checkpoint={directory}",
            f"--shape={options.shape}",
            f"--dtype={options.dtype}",
            f"--repeats={options.repeats}",
        ]

        def run(worker, backend, batch=1):
            arguments = [f"--worker={worker}", f"--worker-batch={batch}"]
            return measure.run_fresh(MODULE, [*arguments, *settings], backend)

        report("writing random weights")
        written = run("checkpoint", "torch")
        if "error" in written:
            raise RuntimeError(written["error"])
        # Peers take turns within a backend, so that a machine whose speed
        # drifts slows them alike. Transformers knows no backends: once is
        # enough.
        jobs = [
            (batch, backend, peer)
            for batch in options.batch
            for backend in options.backends
            for peer in options.peers
            if peer != "transformers" or backend == options.backends[0]
        ]
        for batch, backend, peer in jobs:
            result = dict(peer=peer, backend=backend, batch=batch)
            if peer == "transformers":
                backend = result["backend"] = "torch"
            result.update(run(peer, backend, batch))
            outcome = result.get("error") or f"{min(result['seconds']):.2f} s"
            report(f"batch {batch}, {backend}, {peer}: {outcome}")
            results.append(result)
    return results


def table(results, options, floor):
    """Lays the results out: a line for each batch, backend and peer."""
    found = {
        (result["batch"], result["backend"], result["peer"]): result
        for result in results
        if "seconds" in result
    }
    header = ["batch, backend, peer", "s", "to ours", "first s", "GB", "floor"]
    lines = []
    for batch in options.batch:
        for backend in options.backends:
            ours = found.get((batch, backend, "ours"))
            for peer in options.peers:
                # The one measurement of Transformers stands under each.
                its = "torch" if peer == "transformers" else backend
                result = found.get((batch, its, peer))
                name = f"{batch}, {backend}, {peer}"
                if result is None:
                    lines.append([name, "failed", "-", "-", "-", "-"])
                    continue
                best = min(result["seconds"])
                ratio = best / min(ours["seconds"]) if ours else None
                lines.append(
                    [
                        name,
                        f"{best:.2f}",
                        f"{ratio:.2f}" if ratio else "-",
                        f"{result['first']:.1f}",
                        f"{result['peak_bytes'] / 1e9:.2f}",
                        f"{floor / best:.0%}",
                    ]
                )
    return measure.format_table(header, lines)


def parse_arguments(arguments=None):
    parser = argparse.ArgumentParser(
        prog=f"python -m {MODULE}",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--backends", nargs="+", choices=BACKENDS, default=BACKENDS
    )
    parser.add_argument("--peers", nargs="+", choices=PEERS, default=PEERS)
    parser.add_argument("--batch", nargs="+", type=int, default=[1, 4])
    parser.add_argument("--dtype", choices=list(BYTES), default="float32")
    parser.add_argument("--shape", choices=list(shapes.SHAPES), default="small")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", metavar="FILE", help="write the results")
    # What a measurement's own process is told.
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    parser.add_argument(
        "--worker-batch", type=int, default=1, help=argparse.SUPPRESS
    )
    parser.add_argument("--checkpoint", help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


def main(arguments=None):
    options = parse_arguments(arguments)
    if options.worker:
        work(options)
        return 0
    bandwidth = measure.memory_bandwidth()
    weights = shapes.weights_read_per_token(shapes.SHAPES[options.shape])
    floor = NEW_TOKENS * weights * BYTES[options.dtype] / bandwidth
    results = measure_all(options, lambda text: print(text, flush=True))
    print(
        f"\n{options.shape}, {options.dtype}; memory {bandwidth / 1e9:.1f} "
        f"GB/s, floor {floor:.2f} s for {NEW_TOKENS} tokens\n"
    )
    print(table(results, options, floor))
    compare_tokens(results)
    if options.json:
        with open(options.json, "w") as file:
            json.dump(
                {
                    "options": vars(options),
                    "bandwidth": bandwidth,
                    "floor": floor,
                    "results": results,
                },
                file,
                indent=1,
            )
    return int(any("error" in result for result in results))


def compare_tokens(results):
    """Says whether ours and Transformers, of one checkpoint, agree."""
    expected = {
        result["batch"]: result["tokens"]
        for result in results
        if result["peer"] == "transformers" and "tokens" in result
    }
    for result in results:
        if result["peer"] == "ours" and result["batch"] in expected:
            if "tokens" not in result:
                continue
            same = result["tokens"] == expected[result["batch"]]
            print(
                f"batch {result['batch']}, {result['backend']}: tokens "
                f"{'equal' if same else 'differ from'} Transformers'"
            )


if __name__ == "__main__":
    sys.exit(main())
