"""Names and words by which mathematics is known: TeX commands and environments, English and Chinese terms."""

from __future__ import annotations

# TeX commands that stand in formulas.
COMMANDS = frozenset(
    """
    frac dfrac tfrac sqrt sum prod int oint iint lim limsup liminf sup inf max min log ln exp sin cos
    tan sec csc cot arcsin arccos arctan sinh cosh tanh det dim ker deg gcd bmod pmod pod mod equiv cong
    sim simeq approx neq leq le geq ge ll gg prec succ subset subseteq supset supseteq in notin ni cup
    cap bigcup bigcap setminus emptyset varnothing forall exists nexists neg land lor wedge vee oplus
    otimes odot times div cdot cdots ldots dots vdots ddots pm mp circ bullet star ast to rightarrow
    leftarrow mapsto implies iff Rightarrow Leftarrow Leftrightarrow longrightarrow hookrightarrow
    twoheadrightarrow xrightarrow infty partial nabla alpha beta gamma delta epsilon varepsilon zeta eta
    theta vartheta iota kappa lambda mu nu xi pi varpi rho varrho sigma varsigma tau upsilon phi varphi
    chi psi omega Gamma Delta Theta Lambda Xi Pi Sigma Upsilon Phi Psi Omega mathbb mathbf mathcal
    mathfrak mathrm mathsf mathit mathscr operatorname boldsymbol overline underline hat widehat tilde
    widetilde bar vec dot ddot binom choose left right big Big bigg Bigg langle rangle lfloor rfloor
    lceil rceil lvert rvert lVert rVert mid nmid parallel perp angle triangle square ell hbar Re Im
    aleph prime dagger top bot vdash models displaystyle boxed stackrel overset underset underbrace
    overbrace quad qquad tag eqref colon coloneqq defeq trans
    """.split()  # noqa: SIM905 - a list would take a line a word
)

# TeX environments that hold formulas or theorems.
ENVIRONMENTS = frozenset(
    """
    equation align gather multline eqnarray displaymath math cases matrix pmatrix bmatrix vmatrix array
    split aligned theorem lemma proof corollary proposition definition tikzcd
    """.split()  # noqa: SIM905 - a list would take a line a word
)

# English words; the kernel also knows them with a capital.
TERMS = frozenset(
    """
    theorem lemma proof corollary proposition conjecture axiom equation equations inequality polynomial
    polynomials integer integers prime primes divisor divisible modulo matrix matrices vector vectors
    eigenvalue determinant derivative integral differential logarithm cosine sine tangent triangle
    circle radius perimeter hypotenuse algebra algebraic geometry topology homomorphism isomorphism
    isomorphic bijection injective surjective subset finite infinite infinity convergent converges
    continuous countable denote denotes suppose hence whence iff numerator denominator fraction
    fractions multiply multiplied multiplying divide divided subtract quotient arithmetic rational
    irrational cardinality manifold functor coefficient coefficients exponent quadratic
    """.split()  # noqa: SIM905 - a list would take a line a word
)

# Chinese words of two characters.
CHINESE_TERMS = frozenset(
    """
    定理 引理 证明 命题 推论 猜想 公理 方程 函数 多项 整数 素数 质数 整除 矩阵 向量 导数 积分 微分 对数
    余弦 正弦 三角 圆形 半径 周长 代数 几何 拓扑 同构 同态 双射 单射 满射 子集 有限 无穷 收敛 连续 分数
    分母 分子 乘以 除以 平均 求解 已知 解得 设有 等式 数列 概率 不等 集合 系数 指数 面积 体积
    """.split()  # noqa: SIM905 - a list would take a line a word
)
