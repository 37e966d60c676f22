// SPDX-License-Identifier: MIT OR GPL-2.0

//! Conversions between signed and unsigned integers that keep the bits. The standard library has them
//! since Rust 1.87.
#![allow(
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    reason = "that is the purpose"
)]

/// From signed.
pub trait SignCast {
    /// The same bits without a sign.
    type Unsigned;

    /// The same bits without a sign.
    fn to_bits(self) -> Self::Unsigned;
}

/// From unsigned.
pub trait UnsignedCast {
    /// The same bits with a sign.
    type Signed;

    /// The same bits with a sign.
    fn to_signed(self) -> Self::Signed;
}

macro_rules! casts {
    ($($signed:ty, $unsigned:ty;)*) => {$(
        impl SignCast for $signed {
            type Unsigned = $unsigned;

            fn to_bits(self) -> $unsigned {
                self as $unsigned
            }
        }

        impl UnsignedCast for $unsigned {
            type Signed = $signed;

            fn to_signed(self) -> $signed {
                self as $signed
            }
        }
    )*};
}

casts! {
    i32, u32;
    i64, u64;
}
