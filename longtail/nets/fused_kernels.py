"""Triton kernels of `nets.fused`: convolution, batch norm and ReLU of K networks at once; images are channels last.

Every kernel computes all K networks; they share no weights, so a table holds the address of each network's tensor. A
convolution adds up the sums that batch norm needs while its results are still in registers; a small kernel turns the
sums of all programs, in one fixed order, into statistics. Equal inputs therefore give equal bits.
"""

import triton
import triton.language as tl


@triton.jit
def conv(
    x, weights, affine, y, sums, x_stride, rows,
    HI: tl.constexpr, WI: tl.constexpr, HO: tl.constexpr, WO: tl.constexpr,
    CIN: tl.constexpr, PADDED: tl.constexpr, COUT: tl.constexpr, STRIDE: tl.constexpr,
    ACTIVATE: tl.constexpr, PRECISION: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Compute y = conv3x3(x) or conv3x3(relu(scale x + shift)), and the sums of y and y squared of each channel."""
    p, e = tl.program_id(0), tl.program_id(1)
    m = p * BLOCK + tl.arange(0, BLOCK)
    n, h, w = m // (HO * WO), m // WO % HO, m % WO
    i, o = tl.arange(0, PADDED), tl.arange(0, COUT)
    weight = tl.load(weights + e).to(tl.pointer_type(tl.float32))
    x += e * x_stride
    if ACTIVATE:
        scale, shift = tl.load(affine + e * 2 * CIN + i), tl.load(affine + (e * 2 + 1) * CIN + i)
    total = tl.zeros((BLOCK, COUT), tl.float32)
    for t in tl.static_range(9):
        row, column = h * STRIDE + t // 3 - 1, w * STRIDE + t % 3 - 1
        inside = (m < rows) & (row >= 0) & (row < HI) & (column >= 0) & (column < WI)
        at = ((n * HI + row) * WI + column) * CIN
        a = tl.load(x + at[:, None] + i[None, :], mask=inside[:, None] & (i < CIN)[None, :], other=0.0)
        if ACTIVATE:
            active = tl.maximum(a.to(tl.float32) * scale[None, :] + shift[None, :], 0.0)
            a = tl.where(inside[:, None], active, 0.0).to(a.dtype)
        b = tl.load(weight + (o[None, :] * 9 + t) * CIN + i[:, None], mask=(i < CIN)[:, None], other=0.0).to(a.dtype)
        total = tl.dot(a, b, total, input_precision=PRECISION)
    tl.store(y + (e * rows + m[:, None]) * COUT + o[None, :], total.to(y.dtype.element_ty), mask=(m < rows)[:, None])
    sums += (e * tl.num_programs(0) + p) * 2 * COUT + o
    tl.store(sums, tl.sum(total, 0))
    tl.store(sums + COUT, tl.sum(total * total, 0))


@triton.jit
def add_up(sums, programs, C: tl.constexpr, BLOCK: tl.constexpr):
    """Return the two sums of 16 channels over all programs of a kernel."""
    e, c = tl.program_id(0), tl.program_id(1) * 16 + tl.arange(0, 16)
    first, second = tl.zeros((BLOCK, 16), tl.float32), tl.zeros((BLOCK, 16), tl.float32)
    for start in range(0, programs, BLOCK):
        p = start + tl.arange(0, BLOCK)
        at = sums + (e * programs + p[:, None]) * 2 * C + c[None, :]
        first += tl.load(at, mask=(p < programs)[:, None], other=0.0)
        second += tl.load(at + C, mask=(p < programs)[:, None], other=0.0)
    return tl.sum(first, 0), tl.sum(second, 0)


@triton.jit
def normalize(
    sums, gammas, betas, means, variances, affine, moments, programs, count, momentum, eps,
    C: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Compute mean and 1 / deviation of a batch, scale and shift of its batch norm, and follow the running statistics."""
    e, c = tl.program_id(0), tl.program_id(1) * 16 + tl.arange(0, 16)
    first, second = add_up(sums, programs, C, BLOCK)
    mean = first / count
    variance = tl.maximum(second / count - mean * mean, 0.0)
    inverse = 1.0 / tl.sqrt(variance + eps)
    gamma = tl.load(tl.load(gammas + e).to(tl.pointer_type(tl.float32)) + c)
    beta = tl.load(tl.load(betas + e).to(tl.pointer_type(tl.float32)) + c)
    tl.store(affine + e * 2 * C + c, gamma * inverse)
    tl.store(affine + (e * 2 + 1) * C + c, beta - mean * gamma * inverse)
    tl.store(moments + e * 2 * C + c, mean)
    tl.store(moments + (e * 2 + 1) * C + c, inverse)
    running = tl.load(means + e).to(tl.pointer_type(tl.float32)) + c
    tl.store(running, tl.load(running) * (1 - momentum) + mean * momentum)
    running = tl.load(variances + e).to(tl.pointer_type(tl.float32)) + c
    tl.store(running, tl.load(running) * (1 - momentum) + variance * (count / (count - 1)) * momentum)


@triton.jit
def activate(
    y, affine, x, out, size,
    HO: tl.constexpr, WO: tl.constexpr, CIN: tl.constexpr, COUT: tl.constexpr, STRIDE: tl.constexpr,
    HAS_SHORTCUT: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Compute relu(scale y + shift + shortcut(x)), with shortcut A of He et al. 2016."""
    e = tl.program_id(1)
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    known, c = at < size, at % COUT
    value = tl.load(y + e * size + at, mask=known, other=0.0).to(tl.float32)
    value = value * tl.load(affine + e * 2 * COUT + c) + tl.load(affine + (e * 2 + 1) * COUT + c)
    if HAS_SHORTCUT:
        if STRIDE == 1:
            value += tl.load(x + e * size + at, mask=known, other=0.0).to(tl.float32)
        else:
            m, i = at // COUT, c - (COUT - CIN) // 2
            n, h, w = m // (HO * WO), m // WO % HO, m % WO
            source = ((n * HO * 2 + h * 2) * WO * 2 + w * 2) * CIN + i
            known_input = known & (i >= 0) & (i < CIN)
            value += tl.load(x + e * (size // COUT * 4 * CIN) + source, mask=known_input, other=0.0).to(tl.float32)
    tl.store(out + e * size + at, tl.maximum(value, 0.0).to(out.dtype.element_ty), mask=known)


@triton.jit
def save_masked(gradient, y, moments, out, sums, m, rows, C: tl.constexpr):
    """Store the gradient (BLOCK, C) of a batch norm's result, and its sums alone and times the normalized y."""
    p, e, c = tl.program_id(0), tl.program_id(1), tl.arange(0, C)
    at = (e * rows + m[:, None]) * C + c[None, :]
    known = (m < rows)[:, None]
    value = tl.load(y + at, mask=known, other=0.0).to(tl.float32)
    mean, inverse = tl.load(moments + e * 2 * C + c), tl.load(moments + (e * 2 + 1) * C + c)
    tl.store(out + at, gradient.to(out.dtype.element_ty), mask=known)
    sums += (e * tl.num_programs(0) + p) * 2 * C + c
    tl.store(sums, tl.sum(gradient, 0))
    tl.store(sums + C, tl.sum(gradient * (value - mean[None, :]) * inverse[None, :], 0))


@triton.jit
def pool_gradient(pooled, a, y, moments, out, sums, rows, PIXELS: tl.constexpr, C: tl.constexpr, BLOCK: tl.constexpr):
    """Compute the gradient of the last batch norm's result, from that of the mean over pixels (K, N, C)."""
    e, c = tl.program_id(1), tl.arange(0, C)
    m = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    known = (m < rows)[:, None]
    share = (
        tl.load(pooled + (e * (rows // PIXELS) + m[:, None] // PIXELS) * C + c[None, :], mask=known, other=0.0) / PIXELS
    )
    is_active = tl.load(a + (e * rows + m[:, None]) * C + c[None, :], mask=known, other=0.0).to(tl.float32) > 0
    save_masked(tl.where(is_active, share, 0.0), y, moments, out, sums, m, rows, C)


@triton.jit
def normalize_gradient(
    sums, affine, moments, coefficients, gradients, programs, count, C: tl.constexpr, BLOCK: tl.constexpr
):
    """Compute the gradients of gamma and beta, and a, b, c such that the gradient of y is a g + b y + c."""
    e, c = tl.program_id(0), tl.program_id(1) * 16 + tl.arange(0, 16)
    alone, times = add_up(sums, programs, C, BLOCK)
    scale = tl.load(affine + e * 2 * C + c)
    mean, inverse = tl.load(moments + e * 2 * C + c), tl.load(moments + (e * 2 + 1) * C + c)
    slope = -scale * inverse * times / count
    tl.store(coefficients + e * 3 * C + c, scale)
    tl.store(coefficients + (e * 3 + 1) * C + c, slope)
    tl.store(coefficients + (e * 3 + 2) * C + c, -scale * alone / count - slope * mean)
    tl.store(gradients + e * 2 * C + c, times)
    tl.store(gradients + (e * 2 + 1) * C + c, alone)


@triton.jit
def combine(g, y, coefficients, out, size, C: tl.constexpr, BLOCK: tl.constexpr):
    """Compute a g + b y + c, the gradient through a batch norm."""
    e = tl.program_id(1)
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    known, c = at < size, at % C
    coefficients += e * 3 * C + c
    first = tl.load(g + e * size + at, mask=known, other=0.0).to(tl.float32) * tl.load(coefficients)
    second = tl.load(y + e * size + at, mask=known, other=0.0).to(tl.float32) * tl.load(coefficients + C)
    value = first + second + tl.load(coefficients + 2 * C)
    tl.store(out + e * size + at, value.to(out.dtype.element_ty), mask=known)


@triton.jit
def conv_input_gradient(
    dy, weights, shortcut, a, y, affine, moments, out, sums, rows,
    HI: tl.constexpr, WI: tl.constexpr, HO: tl.constexpr, WO: tl.constexpr,
    CIN: tl.constexpr, COUT: tl.constexpr, STRIDE: tl.constexpr,
    IS_BLOCK: tl.constexpr, PRECISION: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Compute the gradient of the batch norm in front of a convolution: through the convolution, then through ReLU.

    With IS_BLOCK the convolution is a block's first one: the gradient of the shortcut is added, and ReLU's result is a.
    """
    e = tl.program_id(1)
    m = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    n, h, w = m // (HI * WI), m // WI % HI, m % WI
    i, o = tl.arange(0, CIN), tl.arange(0, COUT)
    weight = tl.load(weights + e).to(tl.pointer_type(tl.float32))
    source = dy + e * (rows // (HI * WI) * HO * WO) * COUT
    total = tl.zeros((BLOCK, CIN), tl.float32)
    for t in tl.static_range(9):
        row, column = h + 1 - t // 3, w + 1 - t % 3
        inside = (m < rows) & (row >= 0) & (row < HO * STRIDE) & (column >= 0) & (column < WO * STRIDE)
        if STRIDE == 2:
            inside = inside & (row % 2 == 0) & (column % 2 == 0)
        at = ((n * HO + row // STRIDE) * WO + column // STRIDE) * COUT
        d = tl.load(source + at[:, None] + o[None, :], mask=inside[:, None], other=0.0)
        b = tl.load(weight + (o[:, None] * 9 + t) * CIN + i[None, :]).to(d.dtype)
        total = tl.dot(d, b, total, input_precision=PRECISION)
    known, own = (m < rows)[:, None], (e * rows + m[:, None]) * CIN + i[None, :]
    if IS_BLOCK:
        if STRIDE == 1:
            total += tl.load(shortcut + own, mask=known, other=0.0).to(tl.float32)
        else:
            at = ((n * HO + h // 2) * WO + w // 2) * COUT
            even = (m < rows) & (h % 2 == 0) & (w % 2 == 0)
            passed = shortcut + e * (rows // 4) * COUT + at[:, None] + i[None, :] + (COUT - CIN) // 2
            total += tl.load(passed, mask=even[:, None], other=0.0).to(tl.float32)
        is_active = tl.load(a + own, mask=known, other=0.0).to(tl.float32) > 0
    else:
        scale, shift = tl.load(affine + e * 2 * CIN + i), tl.load(affine + (e * 2 + 1) * CIN + i)
        before = tl.load(y + own, mask=known, other=0.0).to(tl.float32)
        is_active = before * scale[None, :] + shift[None, :] > 0
    save_masked(tl.where(is_active & known, total, 0.0), y, moments, out, sums, m, rows, CIN)


@triton.jit
def conv_weight_gradient(
    dy, x, affine, out, x_stride, out_stride, rows, steps,
    HI: tl.constexpr, WI: tl.constexpr, HO: tl.constexpr, WO: tl.constexpr,
    CIN: tl.constexpr, PADDED: tl.constexpr, COUT: tl.constexpr, STRIDE: tl.constexpr,
    ACTIVATE: tl.constexpr, PRECISION: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Compute the gradient of one row of a convolution's 3 x 3 weights, over a share of the pixels."""
    s, tap, e = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    i, o = tl.arange(0, PADDED), tl.arange(0, COUT)
    x += e * x_stride
    if ACTIVATE:
        scale, shift = tl.load(affine + e * 2 * CIN + i), tl.load(affine + (e * 2 + 1) * CIN + i)
    left = tl.zeros((COUT, PADDED), tl.float32)
    middle = tl.zeros((COUT, PADDED), tl.float32)
    right = tl.zeros((COUT, PADDED), tl.float32)
    for step in range(steps):
        m = (s * steps + step) * BLOCK + tl.arange(0, BLOCK)
        n, h, w = m // (HO * WO), m // WO % HO, m % WO
        d = tl.load(dy + (e * rows + m[:, None]) * COUT + o[None, :], mask=(m < rows)[:, None], other=0.0)
        d = tl.trans(d)
        row = h * STRIDE + tap - 1
        for t in tl.static_range(3):
            column = w * STRIDE + t - 1
            inside = (m < rows) & (row >= 0) & (row < HI) & (column >= 0) & (column < WI)
            at = ((n * HI + row) * WI + column) * CIN
            a = tl.load(x + at[:, None] + i[None, :], mask=inside[:, None] & (i < CIN)[None, :], other=0.0)
            if ACTIVATE:
                active = tl.maximum(a.to(tl.float32) * scale[None, :] + shift[None, :], 0.0)
                a = tl.where(inside[:, None], active, 0.0).to(a.dtype)
            if t == 0:
                left = tl.dot(d, a, left, input_precision=PRECISION)
            elif t == 1:
                middle = tl.dot(d, a, middle, input_precision=PRECISION)
            else:
                right = tl.dot(d, a, right, input_precision=PRECISION)
    at = out + s * out_stride + e * (COUT * 9 * CIN) + (o[:, None] * 9 + tap * 3) * CIN + i[None, :]
    known = (i < CIN)[None, :]
    tl.store(at, left, mask=known)
    tl.store(at + CIN, middle, mask=known)
    tl.store(at + 2 * CIN, right, mask=known)
