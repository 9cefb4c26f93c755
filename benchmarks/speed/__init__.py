"""How much time and memory an explanation costs beside the prediction and beside peers, for architectures in use.

    python -m benchmarks.speed                    # every model, batches of 1 and 8; writes benchmarks/RESULTS.md
    python -m benchmarks.speed VGG-16 --batch 1   # some; prints only
    python -m benchmarks.speed --profile gradient ResNet-50

Peers come with the extra `speed`; without it their tables are left out. All that is compared runs in turn in one
process, so that ratios hold where times do not.
"""
